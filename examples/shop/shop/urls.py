"""Addresses of the web process."""

from django.urls import path

from orders import views

urlpatterns = [
    path("healthz", views.healthz),
    path("orders", views.orders),
    path("orders/<int:number>", views.order),
]
