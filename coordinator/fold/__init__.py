"""The sum: a cohort's contributions added up chunk by chunk, unopened."""
