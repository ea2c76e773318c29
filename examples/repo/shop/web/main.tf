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

variable "subnets" {
  type = map(string)
}

module "web" {
  source = "../../modules/service"

  name     = "shop-web"
  replicas = var.replicas
  settings = { owner = var.owner, region = var.region, subnet = var.subnets["shop"] }
}

output "endpoint" {
  value = module.web.endpoint
}

output "instances" {
  value = module.web.instances
}
