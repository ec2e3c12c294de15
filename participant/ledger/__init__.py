"""The site's privacy ledger on disk, and what it has to do with rounds and with other sites.

store        where the rows are: a database that appends, and refuses to change or to forget
reading      each row signed, in its place, and what all of them add up to
writing      one transaction: a row is signed, read back, and on disk before anybody is told
site_ledger  what may be spent, what is, and proof of both
outcome      what is recorded of the end of a round
peers        what was seen of other sites' ledgers
"""
