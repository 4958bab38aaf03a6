"""The operator's tasks for examples/api: deploy, rollback, status, history and their neighbours."""

import release

ns = release.namespace()
