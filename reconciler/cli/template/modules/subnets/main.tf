# terraform_data needs no provider. Replace it with your own resources.
variable "cidr" {
  type = string
}

variable "zones" {
  type = list(string)
}

resource "terraform_data" "subnet" {
  for_each = { for index, zone in var.zones : zone => cidrsubnet(var.cidr, 8, index) }

  input = each.value
}

output "by_zone" {
  value = { for zone, subnet in terraform_data.subnet : zone => subnet.output }
}
