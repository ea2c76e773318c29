variable "words" {
  type = list(string)
}

output "value" {
  value = join("-", var.words)
}
