"""`veilsum doctor`: what keeps a process from its work, and who mends it how.

preflight  before anything is installed or enrolled: the way to a coordinator
installed  with a configuration: the same way, and what this process needs of its machine
bundle     all of that in one file for whoever helps, without a secret in it
"""
