# A service with a number of instances behind one name.
variable "name" {
  type = string
}

variable "replicas" {
  type = number
}

variable "settings" {
  type    = map(string)
  default = {}
}

resource "terraform_data" "instance" {
  count = var.replicas

  input = {
    name     = "${var.name}-${count.index}"
    settings = var.settings
  }
}

resource "terraform_data" "endpoint" {
  input = "${var.name}.internal"
}

output "endpoint" {
  value = terraform_data.endpoint.output
}

output "instances" {
  value = [for instance in terraform_data.instance : instance.output.name]
}
