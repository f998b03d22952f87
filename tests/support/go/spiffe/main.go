// SPIFFE for tests, by its reference library. `api SOCKET` serves a Workload API and takes what it gives line by line, as JSON;
// `service SOCKET ID` is a service that takes this workload alone and answers whom it saw; `client SOCKET ID URL` asks a server
// that has to be this workload.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type identity struct {
	ID     string
	Chain  []byte
	Key    []byte
	Bundle []byte
}

type given struct {
	Identities []identity
	Federated  map[string][]byte
}

type api struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	mutex   sync.Mutex
	now     given
	changed chan struct{}
}

func (a *api) set(now given) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.now = now
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *api) current() (given, chan struct{}) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.now, a.changed
}

func (a *api) FetchX509SVID(_ *workload.X509SVIDRequest, stream grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	fields, _ := metadata.FromIncomingContext(stream.Context())
	if mark := fields.Get("workload.spiffe.io"); len(mark) != 1 || mark[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	for {
		now, changed := a.current()
		if len(now.Identities) == 0 {
			return status.Error(codes.PermissionDenied, "no identity issued")
		}
		answer := &workload.X509SVIDResponse{FederatedBundles: now.Federated}
		for _, one := range now.Identities {
			svid := &workload.X509SVID{SpiffeId: one.ID, X509Svid: one.Chain, X509SvidKey: one.Key, Bundle: one.Bundle}
			answer.Svids = append(answer.Svids, svid)
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func serve(socket string) {
	listener, err := net.Listen("unix", socket)
	must(err)
	state := &api{changed: make(chan struct{})}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, state)
	go func() { must(server.Serve(listener)) }()
	fmt.Println("ready")
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var now given
		must(json.Unmarshal(line, &now))
		state.set(now)
		fmt.Println("set")
	}
}

func source(socket string) *workloadapi.X509Source {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	found, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr("unix://"+socket)))
	must(err)
	return found
}

func service(socket, id string) {
	own := source(socket)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{
		TLSConfig: tlsconfig.MTLSServerConfig(own, own, tlsconfig.AuthorizeID(spiffeid.RequireFromString(id))),
		Handler: http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			caller, err := x509svid.IDFromCert(request.TLS.PeerCertificates[0])
			must(err)
			fmt.Fprint(answer, caller)
		}),
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	must(server.ServeTLS(listener, "", ""))
}

func client(socket, id, url string) {
	own := source(socket)
	config := tlsconfig.MTLSClientConfig(own, own, tlsconfig.AuthorizeID(spiffeid.RequireFromString(id)))
	answer, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: 20 * time.Second}).Get(url)
	must(err)
	body, err := io.ReadAll(answer.Body)
	must(err)
	fmt.Printf("%d %s\n", answer.StatusCode, body)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	switch words := os.Args[1:]; words[0] {
	case "api":
		serve(words[1])
	case "service":
		service(words[1], words[2])
	case "client":
		client(words[1], words[2], words[3])
	}
}
