"""Tasks of the worker."""

import os
import time

from celery import shared_task
from django.db import transaction

from orders.models import Order, Packing, Tick


@shared_task
def pack(number: int, seconds: float) -> None:
    """Pack an order, which takes a while."""
    time.sleep(seconds)
    with transaction.atomic():
        Packing.objects.create(order_id=number, version=os.environ.get("APP_VERSION", ""))
        Order.objects.filter(id=number).update(packed=True)


@shared_task
def tick() -> None:
    """Note that the scheduler runs."""
    Tick.objects.create()
