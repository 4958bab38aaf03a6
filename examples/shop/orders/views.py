"""Answers of the web process."""

import os

from django.db import connection
from django.http import HttpRequest, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import get_object_or_404

from orders.models import Order
from orders.tasks import pack


def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer whether the database does, with the version and the commit of the image."""
    connection.ensure_connection()
    return JsonResponse({"version": os.environ.get("APP_VERSION"), "commit": os.environ.get("APP_COMMIT")})


def orders(request: HttpRequest) -> JsonResponse | HttpResponseNotAllowed:
    """Take an order, and hand it to the worker."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    made = Order.objects.create(item=request.POST.get("item", "parcel"))
    pack.delay(made.id, float(request.POST.get("seconds", "0")))
    return JsonResponse({"order": made.id}, status=201)


def order(_request: HttpRequest, number: int) -> JsonResponse:
    """Answer one order."""
    found = get_object_or_404(Order, id=number)
    return JsonResponse({"order": found.id, "item": found.item, "packed": found.packed})
