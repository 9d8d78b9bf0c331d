<?php
// A service with Symfony's request and router, as the front controller of nginx and PHP-FPM. It says of each answer which
// resource it took the path for.
require_once 'Symfony/Component/HttpFoundation/autoload.php';
require_once 'Symfony/Component/Routing/autoload.php';

use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\Routing\Exception\ExceptionInterface;
use Symfony\Component\Routing\Matcher\UrlMatcher;
use Symfony\Component\Routing\RequestContext;
use Symfony\Component\Routing\Route;
use Symfony\Component\Routing\RouteCollection;

$routes = new RouteCollection();
$add = static function (string $path, string $protected = '', array $requirements = [], array $methods = []) use ($routes): void {
	$routes->add(count($routes), new Route($path, ['protected' => $protected], $requirements, [], '', [], $methods));
};
$add('/settings', 'settings');
$add('/settings/{rest}', 'settings', ['rest' => '.+']);
$add('/u/{id}/secret', 'secret');
$add('/u/{id}', '', [], ['GET', 'POST']);
$add('/u/{id}', 'deleted', [], ['DELETE']);
$add('/admin/{rest}', 'admin', ['rest' => '.+']);
$add('/opds/{rest}', '', ['rest' => '.+']);
$add('/');

Request::enableHttpMethodParameterOverride(); // as Symfony and Laravel have it
$request = Request::createFromGlobals();
$context = (new RequestContext())->fromRequest($request);
try {
	$found = (new UrlMatcher($routes, $context))->match($request->getPathInfo());
	$headers = $found['protected'] === '' ? [] : ['X-Protected' => $found['protected']];
	(new Response(json_encode($found, JSON_PARTIAL_OUTPUT_ON_ERROR), 200, $headers))->send();
} catch (ExceptionInterface $e) {
	(new Response($e->getMessage(), 404))->send();
}
