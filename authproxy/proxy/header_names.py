"""The headers that the proxy passes on: those that registries and their clients use.

All others are dropped. An upstream may act on a header that the edge never looked at (another method, another path, a
user), and a client on one that the upstream may not decide (a cookie, another way to this host), so only headers known
to be harmless pass. See docs/decisions/0039-pass-what-is-known.md.
"""

# In requests. `Authorization`, `Content-Type`, `Expect` and the framing of the body are decided elsewhere.
OF_REQUESTS = frozenset(
    {
        # The requested content: RFC 9110 §12.5, §13, §14; RFC 9111 §5; RFC 9530
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
        # The sent content: the range of a chunk (OCI Distribution 1.1, "Pushing a blob in chunks"), and its digests
        b"content-digest",
        b"content-md5",
        b"content-range",
        b"digest",
        b"docker-content-digest",
        b"docker-upload-uuid",
        b"repr-digest",
        # The client and its trace. The Docker daemon adds X-Meta-Source-Client; W3C Trace Context and Zipkin's B3
        # identify a trace.
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

# In responses. Our server writes `Date` and `Server`; CORS, and how a browser treats this host (HSTS, cookies,
# Alt-Svc), are up to our own configuration.
OF_ANSWERS = frozenset(
    {
        # The content: RFC 9110 §8, §13, §14, §15; RFC 9111 §5; RFC 9530
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
        # Ids to find the request in an operator's or a vendor's log
        b"x-correlation-id",
        b"x-github-request-id",
        b"x-ms-correlation-request-id",
        b"x-request-id",
        # The features of GitLab's registry, read by GitLab
        b"gitlab-container-registry-database-enabled",
        b"gitlab-container-registry-features",
        b"gitlab-container-registry-version",
    }
)
