package interop

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/ocitags/ocitags"
	"github.com/ocitags/ocitags/internal/regtest"
)

// fromKeychain finds credentials where go-containerregistry does: in
// authn.DefaultKeychain, or that of a cloud.
func fromKeychain(keychain authn.Keychain) ocitags.CredentialFunc {
	return func(ctx context.Context, host, repository string) (ocitags.Credential, error) {
		repo, err := name.NewRepository(host + "/" + repository)
		if err != nil {
			return ocitags.Credential{}, err
		}
		user, err := authn.Resolve(ctx, keychain, repo)
		if err != nil {
			return ocitags.Credential{}, err
		}
		c, err := authn.Authorization(ctx, user)
		if err != nil {
			return ocitags.Credential{}, err
		}
		return ocitags.Credential{Username: c.Username, Password: c.Password, RefreshToken: c.IdentityToken, AccessToken: c.RegistryToken}, nil
	}
}

// fromStore finds credentials where oras-go does: in a credentials.DynamicStore,
// or one of a program's own.
func fromStore(store credentials.Store) ocitags.CredentialFunc {
	return func(ctx context.Context, host, _ string) (ocitags.Credential, error) {
		cred, err := store.Get(ctx, credentials.ServerAddressFromRegistry(host))
		return ocitags.Credential(cred), err
	}
}

// private is a registry that only bob may read, who has logged in.
func private() (host, config string, stop func()) {
	r := regtest.New(regtest.ByName("harbor")).Push("group/cache", "1.0", "1.1")
	r.Auth = &regtest.Auth{Username: "bob", Password: "s3cret"}
	server := httptest.NewServer(r)
	host = strings.TrimPrefix(server.URL, "http://")
	dir, err := os.MkdirTemp("", "ocitags")
	if err != nil {
		log.Fatal(err)
	}
	config = filepath.Join(dir, "config.json")
	auths := fmt.Appendf(nil, `{"auths":{%q:{"auth":"Ym9iOnMzY3JldA=="}}}`, host)
	if err := os.WriteFile(config, auths, 0o600); err != nil {
		log.Fatal(err)
	}
	return host, config, func() { server.Close(); _ = os.RemoveAll(dir) }
}

// The key chain of go-containerregistry.
func Example_goContainerRegistry() {
	host, config, stop := private()
	defer stop()
	_ = os.Setenv("DOCKER_CONFIG", filepath.Dir(config)) // where docker login has left it

	client := &ocitags.Client{Credentials: fromKeychain(authn.DefaultKeychain)}
	fmt.Println(client.ListTags(context.Background(), host+"/group/cache"))
	// Output: [1.0 1.1] <nil>
}

// The credential store of oras-go.
func Example_oras() {
	host, config, stop := private()
	defer stop()
	store, err := credentials.NewStore(config, credentials.StoreOptions{}) // or NewStoreFromDocker
	if err != nil {
		log.Fatal(err)
	}

	client := &ocitags.Client{Credentials: fromStore(store)}
	fmt.Println(client.ListTags(context.Background(), host+"/group/cache"))
	// Output: [1.0 1.1] <nil>
}
