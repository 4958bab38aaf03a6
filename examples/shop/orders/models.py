"""Rows of the database."""

from django.db import models


class Order(models.Model):
    """One order of a customer."""

    item = models.CharField(max_length=100)
    packed = models.BooleanField(default=False)


class Packing(models.Model):
    """One run of the task that packs an order. A second row for an order is a task that ran twice."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE)
    version = models.CharField(max_length=50)
    at = models.DateTimeField(auto_now_add=True)


class Tick(models.Model):
    """One round of the scheduler."""

    at = models.DateTimeField(auto_now_add=True)
