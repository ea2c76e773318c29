variable "cidr" {
  type = string
}

resource "terraform_data" "service" {
  input = var.cidr
}

output "reachable_from" {
  value = terraform_data.service.output
}
