package ocierr

import (
	"encoding/json"
	"strings"
)

// MaxReasons bounds how many reasons are taken from an error body.
const MaxReasons = 10

// A Reason is one entry of an error body. Both fields are the server's, unchecked.
type Reason struct {
	Code    string
	Message string
}

// Reasons returns the entries of an error body (distribution-spec v1.1.1, "Error Codes"),
// or what other servers send in their place: one text, in a field of JSON or as a line of
// plain text.
func Reasons(body []byte) (reasons []Reason) {
	var oci struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &oci) == nil && len(oci.Errors) > 0 {
		for _, reason := range oci.Errors[:min(len(oci.Errors), MaxReasons)] {
			reasons = append(reasons, Reason(reason))
		}
		return reasons
	}
	var fields map[string]any
	if json.Unmarshal(body, &fields) == nil {
		for _, name := range []string{"details", "detail", "message", "error_description", "error"} {
			if text, _ := fields[name].(string); strings.TrimSpace(text) != "" {
				return []Reason{{Message: strings.TrimSpace(text)}}
			}
		}
		return nil
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if line = strings.TrimSpace(line); line == "" || strings.ContainsAny(line[:1], "<{[\"") {
		return nil // markup, or JSON that we cannot read
	}
	return []Reason{{Message: line}}
}
