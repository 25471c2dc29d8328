package regtest

// Real are the profiles of servers that internal/interop starts and lists from,
// with their versions.
var Real = map[string]string{
	"dist312": "3.1.2", "dist28": "Debian's 2.8.2", "ggcr": "0.22.1", "cuelabs": "20251212", "cuelabs-max": "20251212",
}

// Transcripts are the profiles that are compared with the answers of a server, by
// the folder of testdata/transcripts that holds them.
var Transcripts = map[string]string{
	"cue": "cuelabs", "debian-registry": "dist28", "distribution3": "dist312", "ggcr": "ggcr", "ghcr": "ghcr", "gitea": "gitea",
	"gitlab-db": "gitlab-c", "gitlab-db-icu": "gitlab", "olareg": "olareg", "serverless": "cloudflare", "zot": "zot",
}
