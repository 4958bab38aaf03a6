"""An example service: orders that a web process takes and a worker packs."""

from shop.queue import app as celery_app

__all__ = ["celery_app"]
