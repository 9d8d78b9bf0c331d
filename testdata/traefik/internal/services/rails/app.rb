# A service with Rails' router, behind Puma. It says of each answer which resource it took the path for.
require "action_controller"
require "action_dispatch"
require "puma"
require "puma/server"
require "rack/method_override"

def serve(protected_resource)
  lambda do |env|
    headers = { "Content-Type" => "text/plain" }
    headers["X-Protected"] = protected_resource if protected_resource
    [200, headers, [env.fetch("action_dispatch.request.path_parameters", {}).inspect]]
  end
end

routes = ActionDispatch::Routing::RouteSet.new
routes.draw do
  get "/settings(.:format)", to: serve("settings")
  get "/settings/*rest", to: serve("settings")
  get "/u/:id/secret(.:format)", to: serve("secret")
  get "/u/:id", to: serve(nil)
  post "/u/:id", to: serve(nil)
  delete "/u/:id", to: serve("deleted")
  get "/admin/*rest", to: serve("admin")
  get "/opds/*rest", to: serve(nil)
  get "/", to: serve(nil)
end

overriding = Rack::MethodOverride.new(routes) # as in every application of Rails
app = ->(env) {
  begin
    overriding.call(env)
  rescue StandardError => e
    [400, { "Content-Type" => "text/plain" }, [e.message]]
  end
}
server = Puma::Server.new(app)
listener = server.add_tcp_listener("127.0.0.1", 0)
puts "listening on #{listener.addr[1]}"
$stdout.flush
server.run.join
