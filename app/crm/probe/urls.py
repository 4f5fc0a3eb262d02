from django.urls import path

from crm.probe.views import Probe

# The name is a label of the request's metrics, which leave `probe` out where only users count.
urlpatterns = [path("", Probe.as_view(), name="probe")]
