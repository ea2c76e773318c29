terraform {
  required_version = ">= 1.4"
}

variable "cidr" {
  type = string
}

variable "owner" {
  type = string
}

variable "region" {
  type = string
}

module "subnets" {
  source = "../../modules/subnets"

  cidr  = var.cidr
  names = ["shop", "billing"]
}

resource "terraform_data" "network" {
  input = {
    cidr   = var.cidr
    owner  = var.owner
    region = var.region
  }
}

output "subnets" {
  value = module.subnets.by_name
}
