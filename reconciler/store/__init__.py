"""What is remembered; rows never leave this folder."""
