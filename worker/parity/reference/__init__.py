"""Networks that transformers has no code for, written in plain torch from what their authors published."""
