"""The models that a site holds, and how it comes to a released one."""
