terraform {
  required_version = ">= 1.4"
}

module "ledger" {
  source = "../../modules/service"

  name     = "ledger"
  replicas = 1
}

output "endpoint" {
  value = module.ledger.endpoint
}
