# The tfstate is kept by the service, since no backend is named here.
variable "cidr" {
  type = string
}

variable "region" {
  type = string
}

module "subnets" {
  source = "../../modules/subnets"

  cidr  = var.cidr
  zones = ["${var.region}-a", "${var.region}-b"]
}

output "subnets" {
  value = module.subnets.by_zone
}
