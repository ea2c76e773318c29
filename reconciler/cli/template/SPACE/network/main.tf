# No backend is named here, so the service keeps the tfstate.
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
