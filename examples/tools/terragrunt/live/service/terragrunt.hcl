include "root" {
  path = find_in_parent_folders("root.hcl")
}

terraform {
  source = "../../modules/service"
}

dependency "network" {
  config_path = "../network"

  mock_outputs = {
    cidr = "192.0.2.0/24"
  }
  mock_outputs_allowed_terraform_commands = ["init", "plan"]
}

inputs = {
  cidr = dependency.network.outputs.cidr
}
