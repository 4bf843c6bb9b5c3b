# The image has the binary and the certificate authorities, and nothing else.
FROM golang:1.26 AS build
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /antiphon ./cmd/antiphon

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /antiphon /antiphon
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/antiphon"]
CMD ["serve", "--listen", "0.0.0.0:8080"]
