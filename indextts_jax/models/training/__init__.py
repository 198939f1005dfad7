"""Networks as training runs them, and heads that only training needs."""
