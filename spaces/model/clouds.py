"""The names of things in clouds."""

from __future__ import annotations

import re

ROLE_ARN = r"^arn:aws[-a-z]*:iam::[0-9]{1,12}:role/([-A-Za-z0-9_+=,.@]+/)*[-A-Za-z0-9_+=,.@]{1,64}$"
POLICY_ARN = r"^arn:aws[-a-z]*:iam::([0-9]{12}|aws):policy/([-A-Za-z0-9_+=,.@]+/)*[-A-Za-z0-9_+=,.@]{1,128}$"
UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
SERVICE_ACCOUNT = r"^[a-z0-9][-a-z0-9]*@[a-z0-9][-a-z0-9.]*\.gserviceaccount\.com$"
CLOUD_REGION = r"^[a-z]{2,}[-a-z0-9]*$"
CLOUD_PROJECT = r"^[a-z0-9][-a-z0-9.:]{1,98}[a-z0-9]$"
ISSUER = r"^https://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[-A-Za-z0-9._~/]*)?$"
SUBJECT = r"^space:\{(space|spacePath)\}(:stack:\{stack\})?(:kind:\{kind\})?(:phase:\{phase\})?$"
"""It always begins with the space, and says nothing that it does not know: one issuer speaks for all spaces."""

WORKLOAD_PROVIDER = re.compile(
    r"//iam\.googleapis\.com/projects/[0-9]+/locations/global/workloadIdentityPools/[-a-z0-9]+/providers/[-a-z0-9]+"
)

VAULT_ADDRESS = (
    r"^(https://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?"
    r"(/[-A-Za-z0-9._~]+)*$"
)
CLUSTER_ADDRESS = (
    r"^https://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(/[-A-Za-z0-9._~]+)*$"
)
CERTIFICATES = r"^\s*(-----BEGIN CERTIFICATE-----\s+[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+$"
VAULT_MOUNT = r"^[A-Za-z0-9_][-A-Za-z0-9_]*(/[A-Za-z0-9_][-A-Za-z0-9_]*)*$"
VAULT_ROLE = r"^[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}$"
_PART = r"[A-Za-z0-9_][-A-Za-z0-9_.]*"
VAULT_SECRET = rf"^{_PART}(/{_PART})*#{_PART}$"
"""No part begins with a dot, so that none leads up."""
