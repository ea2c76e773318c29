# Lets the runs of one space into an AWS account: an identity provider, and a role for each phase.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "issuer_url" {
  description = "The service's setting issuer_url, such as https://station.example.com."
  type        = string
}

variable "space" {
  description = "The space whose runs take on the roles."
  type        = string
}

variable "plan_policies" {
  description = "The managed policies of the role that plans."
  type        = set(string)
  default     = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
}

variable "apply_policies" {
  description = "The managed policies of the role that applies."
  type        = set(string)
}

locals {
  issuer = trimprefix(var.issuer_url, "https://")
  # IAM tests the subject and the audience of a token, and nothing else of it.
  subjects = {
    plan  = "space:${var.space}:stack:*"
    apply = "space:${var.space}:stack:*:kind:*:phase:apply"
  }
  attached = merge(
    { for arn in var.plan_policies : "plan ${arn}" => { phase = "plan", arn = arn } },
    { for arn in var.apply_policies : "apply ${arn}" => { phase = "apply", arn = arn } },
  )
}

# Once for each account.
resource "aws_iam_openid_connect_provider" "station" {
  url            = var.issuer_url
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "station" {
  for_each = local.subjects
  name     = "station-${var.space}-${each.key}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Federated = aws_iam_openid_connect_provider.station.arn }
        Action    = ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]
        Condition = {
          StringEquals = { "${local.issuer}:aud" = "sts.amazonaws.com" }
          StringLike   = { "${local.issuer}:sub" = each.value }
        }
      }
    ]
  })
}

resource "aws_iam_role_policy_attachment" "station" {
  for_each   = local.attached
  role       = aws_iam_role.station[each.value.phase].name
  policy_arn = each.value.arn
}

output "roles" {
  description = "The values of spec.plan.roleArn and spec.apply.roleArn."
  value       = { for phase, role in aws_iam_role.station : phase => role.arn }
}
