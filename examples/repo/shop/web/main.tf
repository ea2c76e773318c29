terraform {
  required_version = ">= 1.4"
}

variable "owner" {
  type = string
}

variable "region" {
  type = string
}

variable "replicas" {
  type = number
}

module "web" {
  source = "../../modules/service"

  name     = "shop-web"
  replicas = var.replicas
  settings = { owner = var.owner, region = var.region }
}

output "endpoint" {
  value = module.web.endpoint
}

output "instances" {
  value = module.web.instances
}
