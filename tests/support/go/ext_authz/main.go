// A server of Envoy's ext_authz with the published types: says what the request's x-a asks for, and prints what it was told.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	envoytype "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
)

type server struct {
	auth.UnimplementedAuthorizationServer
}

func set(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, Value: value}}
}

func (server) Check(ctx context.Context, asked *auth.CheckRequest) (*auth.CheckResponse, error) {
	text, _ := protojson.Marshal(asked)
	deadline, bounded := ctx.Deadline()
	line, _ := json.Marshal(map[string]any{
		"asked": json.RawMessage(text), "bounded": bounded && time.Until(deadline) < 10*time.Second,
	})
	fmt.Println(string(line))
	code := func(code codes.Code) *status.Status { return &status.Status{Code: int32(code)} }
	switch asked.GetAttributes().GetRequest().GetHttp().GetHeaders()["x-a"] {
	case "allow":
		return &auth.CheckResponse{Status: code(codes.OK)}, nil
	case "level":
		return &auth.CheckResponse{Status: code(codes.OK), HttpResponse: &auth.CheckResponse_OkResponse{
			OkResponse: &auth.OkHttpResponse{Headers: []*core.HeaderValueOption{set("X-Level", "3"), set("x-other", "1")}},
		}}, nil
	case "deny":
		return &auth.CheckResponse{Status: code(codes.PermissionDenied), HttpResponse: &auth.CheckResponse_DeniedResponse{
			DeniedResponse: &auth.DeniedHttpResponse{
				Status: &envoytype.HttpStatus{Code: envoytype.StatusCode_Forbidden}, Body: "the check's own words",
			},
		}}, nil
	case "remove":
		return &auth.CheckResponse{Status: code(codes.OK), HttpResponse: &auth.CheckResponse_OkResponse{
			OkResponse: &auth.OkHttpResponse{HeadersToRemove: []string{"x-b"}},
		}}, nil
	case "empty":
		return &auth.CheckResponse{}, nil
	case "error":
		return nil, grpcstatus.Error(codes.Internal, "broken")
	case "slow":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, grpcstatus.Error(codes.InvalidArgument, "no x-a")
}

func main() {
	address := "127.0.0.1:0"
	if len(os.Args) > 1 && os.Args[1] != "" {
		address = os.Args[1]
	}
	var options []grpc.ServerOption
	if len(os.Args) > 3 {
		pair, err := credentials.NewServerTLSFromFile(os.Args[2], os.Args[3])
		if err != nil {
			panic(err)
		}
		options = append(options, grpc.Creds(pair))
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	serving := grpc.NewServer(options...)
	auth.RegisterAuthorizationServer(serving, server{})
	if err := serving.Serve(listener); err != nil {
		panic(err)
	}
}
