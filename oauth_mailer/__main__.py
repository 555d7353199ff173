"""``python -m oauth_mailer``: the program ``oauth-mailer``."""

import sys

from .cli import main

sys.exit(main())
