"""An admission webhook of the tests, which refuses every change of one kind in one namespace."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from lightkube import Client
from lightkube.models.admissionregistration_v1 import (
    RuleWithOperations,
    ValidatingWebhook,
    WebhookClientConfig,
)
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.admissionregistration_v1 import ValidatingWebhookConfiguration

from tests.engine import lab
from tests.lab.kubernetes.world import api_server

_GROUPS = {"deployments": "apps", "pods": ""}


@contextmanager
def denying(namespace: str, resource: str, why: str) -> Iterator[None]:
    """Refuse to create and change objects of a kind while the block runs, with these words.

    The API server has to reach this machine: at the address by which this machine reaches the API server.
    """
    with socket.create_connection(api_server()) as there:
        address = there.getsockname()[0]
    with TemporaryDirectory() as folder, _served(Path(folder), address, why) as (url, authority):
        hook = ValidatingWebhook(
            name="fridays.release.test",
            admissionReviewVersions=["v1"],
            sideEffects="None",
            failurePolicy="Fail",
            clientConfig=WebhookClientConfig(url=url, caBundle=base64.b64encode(authority).decode()),
            namespaceSelector=LabelSelector(matchLabels={"kubernetes.io/metadata.name": namespace}),
            rules=[
                RuleWithOperations(
                    apiGroups=[_GROUPS[resource]],
                    apiVersions=["v1"],
                    operations=["CREATE", "UPDATE"],
                    resources=[resource],
                )
            ],
        )
        made = ValidatingWebhookConfiguration(metadata=ObjectMeta(name=namespace), webhooks=[hook])
        with Client() as client:
            client.create(made)
            try:
                yield
            finally:
                client.delete(ValidatingWebhookConfiguration, namespace)


@contextmanager
def _served(folder: Path, address: str, why: str) -> Iterator[tuple[str, bytes]]:
    """Serve the webhook; its URL, and the authority of its certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            review = {"uid": asked["request"]["uid"], "allowed": False, "status": {"message": why}}
            body = json.dumps(
                {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": review}
            )
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    made = lab.make_certificate(folder, address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    server = ThreadingHTTPServer((address, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://{address}:{server.server_address[1]}/", made.certificate.read_bytes()
    finally:
        server.shutdown()
        server.server_close()
