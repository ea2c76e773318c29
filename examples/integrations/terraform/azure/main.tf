# Lets the runs of one space into a subscription of Azure: a managed identity and a federated credential for each phase.

terraform {
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.0"
    }
  }
}

variable "issuer_url" {
  description = "The service's setting issuer_url, such as https://station.example.com."
  type        = string
}

variable "space" {
  description = "The space whose runs have the identities."
  type        = string
}

variable "resource_group" {
  description = "The resource group of the identities."
  type        = string
}

variable "location" {
  description = "The region of the identities."
  type        = string
}

variable "scope" {
  description = "What the identities have their roles on, as /subscriptions/ID."
  type        = string
}

variable "roles" {
  description = "The role of each phase."
  type        = object({ plan = string, apply = string })
  default     = { plan = "Reader", apply = "Contributor" }
}

resource "azurerm_user_assigned_identity" "station" {
  for_each            = var.roles
  name                = "station-${var.space}-${each.key}"
  resource_group_name = var.resource_group
  location            = var.location
}

# Azure compares subjects exactly. The integration has spec.subject: "space:{space}:phase:{phase}".
resource "azurerm_federated_identity_credential" "station" {
  for_each  = var.roles
  name      = "station-${var.space}-${each.key}"
  parent_id = azurerm_user_assigned_identity.station[each.key].id
  issuer    = var.issuer_url
  subject   = "space:${var.space}:phase:${each.key}"
  audience  = ["api://AzureADTokenExchange"]
}

resource "azurerm_role_assignment" "station" {
  for_each             = var.roles
  scope                = var.scope
  role_definition_name = each.value
  principal_id         = azurerm_user_assigned_identity.station[each.key].principal_id
}

output "client_ids" {
  description = "The values of spec.plan.clientId and spec.apply.clientId."
  value       = { for phase, identity in azurerm_user_assigned_identity.station : phase => identity.client_id }
}
