"""Names of headers that pass the proxy: what registries and their clients say to each other.

All else ends here. An upstream may act on a header that the edge never looked at (another method, another path, a user)
and a client on one that the upstream has no say in (a cookie, another way to this host), so what passes is what
is known to be harmless. See docs/decisions/0039-pass-what-is-known.md.
"""

# Of requests. `Authorization`, `Content-Type`, `Expect` and what frames a body are decided apart.
OF_REQUESTS = frozenset(
    {
        # What is wanted: RFC 9110 §12.5, §13, §14; RFC 9111 §5; RFC 9530
        b"accept",
        b"accept-charset",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"pragma",
        b"range",
        b"want-content-digest",
        b"want-digest",
        b"want-repr-digest",
        # What is sent: the range of a chunk (OCI Distribution 1.1, "Pushing a blob in chunks"), and digests of it
        b"content-digest",
        b"content-md5",
        b"content-range",
        b"digest",
        b"docker-content-digest",
        b"docker-upload-uuid",
        b"repr-digest",
        # Who asks, and in the course of what. The Docker daemon adds X-Meta-Source-Client, W3C Trace Context and
        # Zipkin's B3 name a trace.
        b"b3",
        b"baggage",
        b"date",
        b"docker-distribution-api-version",
        b"traceparent",
        b"tracestate",
        b"user-agent",
        b"x-b3-flags",
        b"x-b3-parentspanid",
        b"x-b3-sampled",
        b"x-b3-spanid",
        b"x-b3-traceid",
        b"x-correlation-id",
        b"x-meta-source-client",
        b"x-request-id",
    }
)

# Of answers. Our server writes `Date` and `Server`; who may read an answer on another site's page (CORS), and how a
# browser is to treat this host (HSTS, cookies, Alt-Svc), is said in our own configuration.
OF_ANSWERS = frozenset(
    {
        # What it is: RFC 9110 §8, §13, §14, §15; RFC 9111 §5; RFC 9530
        b"accept-ranges",
        b"age",
        b"allow",
        b"cache-control",
        b"content-digest",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-md5",
        b"content-range",
        b"content-type",
        b"deprecation",
        b"digest",
        b"etag",
        b"expires",
        b"last-modified",
        b"link",
        b"location",
        b"pragma",
        b"range",
        b"repr-digest",
        b"retry-after",
        b"sunset",
        b"vary",
        b"want-content-digest",
        b"want-digest",
        b"want-repr-digest",
        b"warning",
        b"www-authenticate",
        # How a browser shows it
        b"content-security-policy",
        b"x-content-type-options",
        b"x-frame-options",
        # OCI Distribution 1.1, CNCF Distribution, containers/image
        b"docker-content-digest",
        b"docker-distribution-api-version",
        b"docker-upload-uuid",
        b"oci-chunk-max-length",
        b"oci-chunk-min-length",
        b"oci-filters-applied",
        b"oci-subject",
        b"oci-tag",
        b"x-registry-supports-signatures",
        # Limits: Docker Hub, and draft-ietf-httpapi-ratelimit-headers
        b"docker-ratelimit-source",
        b"ratelimit",
        b"ratelimit-limit",
        b"ratelimit-policy",
        b"ratelimit-remaining",
        b"ratelimit-reset",
        b"x-ratelimit-limit",
        b"x-ratelimit-remaining",
        b"x-ratelimit-reset",
        # By which an operator's or a vendor's log finds the request
        b"x-correlation-id",
        b"x-github-request-id",
        b"x-ms-correlation-request-id",
        b"x-request-id",
        # GitLab asks its registry what it can do
        b"gitlab-container-registry-database-enabled",
        b"gitlab-container-registry-features",
        b"gitlab-container-registry-version",
    }
)
