package regtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// MixedTags returns n tags, not sorted: versions, hashes, pairs of which one is a prefix
// of the other, upper case.
func MixedTags(n int) (tags []string) {
	tags = make([]string, 0, n+4)
	for i := 0; len(tags) < n; i++ {
		v := strconv.Itoa((i*7919 + 13) % 100003)
		tags = append(tags, "zlib-1."+v+"-x.spack", "v1."+v, "v1."+v+"-alpine", "Build_"+v, v)
	}
	return tags[:n]
}

// PushTo tags one empty image again and again in a repository of a real registry
// (distribution-spec v1.1.1, "Push"). base may have the user's name and password.
func PushTo(ctx context.Context, base *url.URL, repository string, tags []string) error {
	send := func(method string, at *url.URL, contentType string, body []byte, want int) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", contentType)
		if base.User != nil {
			password, _ := base.User.Password()
			req.SetBasicAuth(base.User.Username(), password)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != want {
			err = fmt.Errorf("%s %s: %s: %s", method, at.Redacted(), resp.Status, text)
		}
		return resp, err
	}
	here := &url.URL{Scheme: base.Scheme, Host: base.Host}
	config := []byte("{}")
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(config))
	started, err := send(http.MethodPost, here.JoinPath("/v2", repository, "/blobs/uploads/"), "application/octet-stream", nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	at, err := started.Location()
	if err != nil {
		return err
	}
	query := at.Query()
	query.Set("digest", digest)
	at.RawQuery = query.Encode()
	if _, err := send(http.MethodPut, at, "application/octet-stream", config, http.StatusCreated); err != nil {
		return err
	}
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[]}`,
		manifestType, digest, len(config))
	for _, tag := range tags {
		if _, err := send(http.MethodPut, here.JoinPath("/v2", repository, "manifests", tag), manifestType, manifest, http.StatusCreated); err != nil {
			return err
		}
	}
	return nil
}
