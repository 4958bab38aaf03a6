import release

release.register()
