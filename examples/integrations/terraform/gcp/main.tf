# Lets the runs of one space into a project of Google Cloud: a pool with a provider, and a service account for each phase.

terraform {
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.0"
    }
  }
}

variable "issuer_url" {
  description = "The service's setting issuer_url, such as https://station.example.com."
  type        = string
}

variable "space" {
  description = "The space whose runs become the service accounts."
  type        = string
}

variable "project" {
  description = "The id of the project."
  type        = string
}

variable "roles" {
  description = "The role of each phase in the project."
  type        = object({ plan = string, apply = string })
  default     = { plan = "roles/viewer", apply = "roles/editor" }
}

# Once for each project.
resource "google_iam_workload_identity_pool" "station" {
  project                   = var.project
  workload_identity_pool_id = "station"
}

resource "google_iam_workload_identity_pool_provider" "station" {
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.station.workload_identity_pool_id
  workload_identity_pool_provider_id = "station"
  attribute_mapping = {
    "google.subject" = "assertion.sub"
    "attribute.who"  = "assertion.space + \":\" + assertion.phase"
  }
  oidc {
    issuer_uri = var.issuer_url
  }
}

resource "google_service_account" "station" {
  for_each   = var.roles
  project    = var.project
  account_id = "station-${each.key}"
}

resource "google_service_account_iam_member" "station" {
  for_each           = var.roles
  service_account_id = google_service_account.station[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.station.name}/attribute.who/${var.space}:${each.key}"
}

resource "google_project_iam_member" "station" {
  for_each = var.roles
  project  = var.project
  role     = each.value
  member   = google_service_account.station[each.key].member
}

output "audience" {
  description = "The value of spec.audience."
  value       = "//iam.googleapis.com/${google_iam_workload_identity_pool_provider.station.name}"
}

output "service_accounts" {
  description = "The values of spec.plan.serviceAccount and spec.apply.serviceAccount."
  value       = { for phase, account in google_service_account.station : phase => account.email }
}
