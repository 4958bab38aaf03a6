from unittest import mock

from django.test import TestCase

from orders import tasks
from orders.models import Order, Packing


class Orders(TestCase):
    def test_the_health_check_asks_the_database(self):
        self.assertEqual(200, self.client.get("/healthz").status_code)

    def test_an_order_is_taken_and_handed_to_the_worker(self):
        with mock.patch("orders.views.pack.delay") as handed:
            answer = self.client.post("/orders", {"item": "book"})
        self.assertEqual(201, answer.status_code)
        handed.assert_called_once_with(answer.json()["order"], 0.0)

    def test_a_packed_order_says_so(self):
        made = Order.objects.create(item="book")
        tasks.pack(made.id, 0)
        self.assertTrue(self.client.get(f"/orders/{made.id}").json()["packed"])
        self.assertEqual(1, Packing.objects.filter(order=made).count())
