# The architecture, as data: what each folder may use. Read it top to bottom.
# `tools/check_layers.py` reads this same table and checks #include lines.
set(KILN_MAY_USE_base         "")
set(KILN_MAY_USE_llb          base)
set(KILN_MAY_USE_oci          base)
set(KILN_MAY_USE_cache        oci base)
set(KILN_MAY_USE_solver       cache llb oci base)
set(KILN_MAY_USE_frontend     solver llb oci base)
set(KILN_MAY_USE_worker       solver cache llb oci base)
set(KILN_MAY_USE_control      frontend worker solver cache llb oci base)
# api is several libraries with arrows of their own: the client side never sees the server.
set(KILN_MAY_USE_api/proto    llb base)
set(KILN_MAY_USE_api/fsutil   api/proto base)
set(KILN_MAY_USE_api/tunnel   api/proto base)
set(KILN_MAY_USE_api/containerd api/proto worker cache oci base)
set(KILN_MAY_USE_api/client   api/tunnel api/fsutil api/proto llb oci base)
set(KILN_MAY_USE_api/session  api/tunnel api/fsutil api/proto control frontend worker solver cache llb oci base)
set(KILN_MAY_USE_api/server   api/session api/tunnel api/fsutil api/proto control frontend worker solver cache llb oci base)
set(KILN_MAY_USE_cmd/buildctl      api/client api/tunnel api/fsutil api/proto llb oci base)
set(KILN_MAY_USE_cmd/buildkitd     api/containerd api/server api/session api/tunnel api/fsutil api/proto control frontend worker solver cache llb oci base)
set(KILN_MAY_USE_cmd/dockerfile2llb frontend solver llb oci base)
# Tests and fuzz targets may see everything.
set(KILN_MAY_USE_tests        "*")
set(KILN_MAY_USE_examples     api/client api/tunnel api/fsutil api/proto llb oci base)
