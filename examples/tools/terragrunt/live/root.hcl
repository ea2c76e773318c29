# Every unit keeps its tfstate here. A real one would name a bucket.
remote_state {
  backend = "local"
  generate = {
    path      = "backend.tf"
    if_exists = "overwrite"
  }
  config = {
    path = "${get_env("TFSTATE_DIR", "/var/lib/terragrunt")}/${path_relative_to_include()}.tfstate"
  }
}
