variable "words" {
  type = list(string)
}

variable "size" {
  type = number
}

module "name" {
  source = "./parts/name"
  words  = var.words
}

resource "terraform_data" "machine" {
  input = { name = module.name.value, size = var.size }
}

output "name" {
  value = terraform_data.machine.output.name
}
