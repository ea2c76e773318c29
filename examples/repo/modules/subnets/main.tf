# Divides an address range into one subnet per name.
variable "cidr" {
  type = string
}

variable "names" {
  type = list(string)
}

resource "terraform_data" "subnet" {
  for_each = { for index, name in var.names : name => cidrsubnet(var.cidr, 8, index) }

  input = {
    name = each.key
    cidr = each.value
  }
}

output "by_name" {
  value = { for name, subnet in terraform_data.subnet : name => subnet.output.cidr }
}
