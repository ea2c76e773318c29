"""What documents may say: one module for each kind or group of kinds; `kinds` lists them."""
