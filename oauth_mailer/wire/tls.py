"""Encryption as every connection to a mail server has it: verified, and at least TLS 1.2."""

from __future__ import annotations

import os
import ssl

from ..errors import RouteError
from ..i18n import _, system_text

__all__ = ["certificate_error", "client_context", "tls_reason"]


def client_context(ca_file: str = "") -> ssl.SSLContext:
    """Settings that verify the server's certificate and its name.

    ``ca_file``: a PEM file with the only certificates to trust; by default the system's are trusted, or those
    of ``SSL_CERT_FILE``, which OpenSSL reads itself. Raises ``RouteError`` for a file that cannot be used.
    """
    cafile = os.path.expanduser(ca_file) if ca_file else None  # noqa: PTH111 - a Path takes long to import
    try:
        context = ssl.create_default_context(cafile=cafile)
    except (OSError, ValueError) as error:
        raise RouteError(
            _("The file of trusted certificates {path} cannot be used: {reason}.").format(
                path=ca_file, reason=system_text(getattr(error, "strerror", None)) or type(error).__name__
            ),
            code="ca-file",
            hint=_("Give a PEM file with --ca-file, or remove ca_file from the configuration."),
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def tls_reason(error: ssl.SSLError) -> str:
    """OpenSSL's word for what went wrong, such as ``WRONG_VERSION_NUMBER``, else the name of the exception.

    The attribute exists only on errors that came out of OpenSSL.
    """
    return getattr(error, "reason", None) or type(error).__name__


# X509_V_ERR_… of OpenSSL's x509_vfy.h
_NOT_YET_VALID, _EXPIRED, _WRONG_NAMES = 9, 10, (62, 64)


def certificate_error(error: ssl.SSLCertVerificationError, host: str) -> RouteError:
    """The error for a certificate that does not prove this host: waiting does not help, a person must act."""
    reason = getattr(error, "verify_message", None) or tls_reason(error)
    code = getattr(error, "verify_code", None)
    if code in (_NOT_YET_VALID, _EXPIRED):
        hint = _("Check the clock of this computer; if it is right, tell whoever runs {host}.")
    elif code in _WRONG_NAMES:
        hint = _("Check the host name: {host} shows a certificate that was made for another one.")
    else:
        hint = _("If {host} has a certificate authority of its own, name its PEM file with --ca-file.")
    return RouteError(
        _("The certificate of {host} is not trusted: {reason}. Nothing was sent there.").format(
            host=host, reason=system_text(reason.rstrip("."))
        ),
        code="tls-certificate",
        hint=hint.format(host=host),
    )
