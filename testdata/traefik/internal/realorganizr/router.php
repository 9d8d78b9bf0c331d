<?php
// Sends what is for Organizr's API to its front controller, and leaves files and pages to PHP's built-in server.
$root = getenv('ORGANIZR_ROOT');
if (preg_match('#^/api/v2(/|$)#', parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH))) {
	$_SERVER['SCRIPT_NAME'] = '/api/v2/index.php';
	chdir("$root/api/v2");
	require "$root/api/v2/index.php";
	return true;
}
return false;
