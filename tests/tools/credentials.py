"""Gets credentials with a cloud's own library, and prints their id: run inside a run, with what the run has.

The libraries go to hosts of their own; only the last step, the connection, is led to the tests' token service.
"""

import os
import sys


def aws():
    import botocore.session

    return botocore.session.get_session().get_credentials().get_frozen_credentials().access_key


def gcp():
    import google.auth
    import google.auth.transport.requests
    import requests

    class Session(requests.Session):
        def request(self, method, url, **options):
            assert url.startswith(("https://sts.googleapis.com/", "https://iamcredentials.googleapis.com/")), url
            return super().request(method, os.environ["STS_URL"] + "/" + url.split("/", 3)[3], **options)

    credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    assert project == os.environ["GOOGLE_CLOUD_PROJECT"]
    credentials.refresh(google.auth.transport.requests.Request(Session()))
    return credentials.token


def azure():
    from azure.core.pipeline.transport import RequestsTransport
    from azure.identity import WorkloadIdentityCredential

    class Transport(RequestsTransport):
        def send(self, request, **options):
            assert request.url.startswith("https://login.microsoftonline.com/"), request.url
            request.url = os.environ["STS_URL"] + "/" + request.url.split("/", 3)[3]
            return super().send(request, **options)

    credential = WorkloadIdentityCredential(disable_instance_discovery=True, transport=Transport())
    return credential.get_token("https://management.azure.com/.default").token


try:
    print({"aws": aws, "gcp": gcp, "azure": azure}[sys.argv[1]]())
except Exception as error:
    print("refused:", str(error).replace("\n", " ")[:300])
