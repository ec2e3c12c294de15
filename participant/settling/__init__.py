"""What a site has earned: checked by the site, claimed by the site."""
