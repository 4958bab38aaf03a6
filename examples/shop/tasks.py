import release

ns = release.namespace()
